-- Creates the logins on a new Postgres: the owner of the warehouse, which is not a superuser, and a login that can only
-- read analytics. Run it once through psql, as superuser (compose.yaml does). Passwords come from psql's environment.
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
-- The rest runs in the warehouse's database, as superuser. Up to Postgres 14 every login may create in schema public. A
-- function of the reader there could run with the rights of another login that has public in its search path.
\connect warehouse
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
ALTER ROLE paycombat IN DATABASE warehouse SET search_path = pg_catalog, pg_temp;
