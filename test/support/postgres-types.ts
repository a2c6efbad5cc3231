/** A database with every type that an export has to keep, and every kind of table; on PostgreSQL 15 and newer. */
export const typesSql = String.raw`
create schema "Odd.Schema";
create type mood as enum ('sad', 'ok', 'it''s "fine"');
create type pair as (a int, b text);
create domain positive as int check (value > 0);
create domain email as text check (value ~ '@');
create table everything (
  id bigint generated always as identity primary key,
  small smallint, whole int, big bigint, o oid,
  exact numeric, money_like numeric(12, 2), r real, d double precision,
  yes boolean, t text not null default 'it''s', v varchar(10), c char(5), b bytea,
  day date, hour time, hour_tz timetz, stamp timestamp, stamp_tz timestamptz, span interval,
  j json, jb jsonb, ints int[], texts text[], grid int[][], feelings mood[], feeling mood, p pair, ps pair[], pos positive, mail email,
  u uuid, ip inet, net cidr, mac macaddr, ir int4range, tr tstzrange, mr int4multirange, bits bit varying(10), x xml, pt point,
  v2 tsvector, twice bigint generated always as (whole::bigint * 2) stored, "Id" int, sum_ money
);
insert into everything (small, whole, big, o, exact, money_like, r, d, yes, t, v, c, b, day, hour, hour_tz, stamp, stamp_tz, span, j, jb, ints, texts, grid, feelings,
  feeling, p, ps, pos, mail, u, ip, net, mac, ir, tr, mr, bits, x, pt, v2, "Id", sum_) values
 (-32768, 2147483647, 9223372036854775807, 4294967295, 12345678901234567890.123456789012345678900, 1234567890.10, 0.1, 0.1, true, e'tab\there\nnew\\line\r\b\f\x0b', 'äöü', 'ab', '\x00ff5c6e0a',
  '2024-02-29', '23:59:59.999999', '23:59:59.123+05:30', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+01', '1 year 2 mons -3 days 04:05:06.789',
  '{"a":  1, "a": 2}', '{"b": [1, null, "x\u00e4"]}', '{1,null,3}', array['a,b', 'NULL', null, '', '"q"', e'back\\slash', e'nl\n'], '{{1,2},{3,4}}', array['ok', 'it''s "fine"']::mood[],
  'it''s "fine"', row(1, 'x,y "z"'), array[row(1, null)::pair, row(null, '')::pair], 7, 'a@b', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.1.2.3/8', '10.0.0.0/8', '08:00:2b:01:02:03',
  '[1,5)', '[2024-01-01 00:00+00,)', '{[1,3),[5,7)}', '10101', '<a>&amp;</a>', '(1.5,-2)', 'fat:1A cat:2', 42, 12.34),
 (0, 0, -9223372036854775808, 0, 'NaN', null, 'NaN', 'NaN', false, '', '', '', '', 'infinity', '00:00', '00:00+00', 'infinity', 'infinity', '-1 mons +1 day -00:00:00.5',
  'null', 'null', '{}', '{}', null, null, null, row(null, null), null, null, null, null, null, null, null, 'empty', null, '{}', '', null, null, '', null, null),
 (null, 1, 9007199254740993, 1, '-0.000', -0.01, 'Infinity', '-Infinity', null, '00123', '1e5', '1', '\x', '0044-03-15 BC', '24:00', '12:00-15:59', '0044-03-15 BC', '-infinity', '00:00:00',
  '"s"', '1.10', array[1]::int[], array['NaN'], null, null, 'sad', null, null, 1, null, null, '::1', null, null, '(,)', 'empty', null, '1', null, null, null, 0, -1),
 (1, -1, 3000000000, 2, 1e100, 0, '-0', '-0', true, 'NULL', '\N', 'x', '\x5c4e', '5874897-12-31', '12:00', null, '294276-12-31 23:59:59.999999', '0044-03-15 10:00+00 BC', '178000000 years',
  '[]', '{}', null, null, null, null, 'ok', null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
 (2, 3, 0, 3, 0.1, 99.90, 3.4028235e38, 1.7976931348623157e308, false, '🦆 ünïcode', '12.50', 'ab  ', '\xdeadbeef', '0001-01-01', '01:02:03', null, '0001-01-01', '1883-11-18 12:00:00+00', '00:00:00.000001',
  '1', '1e2', null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
 (3, 4, 1, 4, -1, 0.1, 1e-45, 5e-324, false, e'\\.', '.', '\', null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
  null, null, null, null, null, null, null, null, null, null);
create table "Users" (id serial primary key, "Id" text unique, name text not null, boss int references "Users" (id), active boolean default true, since timestamptz default now());
insert into "Users" ("Id", name, boss) values ('u1', 'Ada', null), ('u2', 'Bea', 1), ('u3', 'Cy', 2);
update "Users" set boss = 3 where id = 1;
create table users (id int primary key, note text);
insert into users values (1, 'not the same table as "Users"');
create table posts (id int primary key, author int not null references "Users" (id) on delete cascade, body text);
insert into posts select n, n % 3 + 1, 'post ' || n from generate_series(1, 1000) n;
create index posts_author on posts (author desc); create index posts_lower on posts (lower(body)); create unique index posts_body on posts (body) where id > 5;
alter table "Users" add constraint first_post foreign key (id) references posts (id) not valid;
create table "Odd.Schema"."ta""ble.x" ("co""l" int);
insert into "Odd.Schema"."ta""ble.x" values (1), (null);
create table empty_one (a int, b text, unique (a, b));
create table events (at date not null, what text, primary key (at, what)) partition by range (at);
create table events_2023 partition of events for values from ('2023-01-01') to ('2024-01-01');
create table events_2024 (what text not null, at date not null); alter table events attach partition events_2024 for values from ('2024-01-01') to ('2025-01-01');
insert into events values ('2023-05-05', 'a'), ('2024-05-05', 'b'), ('2024-06-06', 'c');
create table attendance (at date, what text, who int, foreign key (at, what) references events);
insert into attendance values ('2024-05-05', 'b', 1), ('2023-05-05', 'a', null);
create table parent (a int, b text); create table child (c int) inherits (parent);
insert into parent values (1, 'p'); insert into child values (2, 'c', 3);
create materialized view totals as select count(*) from posts;
create view names as select name from "Users";
create sequence loose start 5 increment 5; select nextval('loose'), nextval('loose');
create sequence unused minvalue -10 start -3;
create table log (n int generated by default as identity, what text);
create function note() returns trigger language plpgsql as $$ begin insert into log (what) values (tg_op); return new; end $$;
create trigger noted after insert on users for each row execute function note();
create trigger always_noted after insert on posts for each statement execute function note();
alter table posts enable always trigger always_noted;
create rule silent as on insert to empty_one do instead nothing;
`;
