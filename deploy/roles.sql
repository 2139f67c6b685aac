-- For a new Postgres, run once by its superuser through psql (compose.yaml does): the owner of the warehouse, who is no
-- superuser, and a login that may read analytics and nothing else. Passwords come from psql's environment.
\getenv owner_password OWNER_PASSWORD
\getenv reader_password READER_PASSWORD
CREATE ROLE paycombat LOGIN PASSWORD :'owner_password';
CREATE ROLE paycombat_reader NOLOGIN;
CREATE ROLE paycombat_query LOGIN PASSWORD :'reader_password' CONNECTION LIMIT 20 IN ROLE paycombat_reader;
ALTER ROLE paycombat_query SET default_transaction_read_only = on;
ALTER ROLE paycombat_query SET statement_timeout = '10min';
ALTER ROLE paycombat_query SET idle_in_transaction_session_timeout = '10min';
CREATE DATABASE warehouse OWNER paycombat;
REVOKE ALL ON DATABASE warehouse FROM PUBLIC;
GRANT CONNECT ON DATABASE warehouse TO paycombat_reader;
-- The rest is done in the warehouse, as its superuser. Up to Postgres 14 every login may create in schema public, and a
-- function of the reader's there could run with the rights of another login that has public in its path.
\connect warehouse
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
ALTER ROLE paycombat IN DATABASE warehouse SET search_path = pg_catalog, pg_temp;
