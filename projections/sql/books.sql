-- Every version of every book; the present one is the last.

create table {schema}.book_versions (
    ledger text collate "C" not null,
    book text collate "C" not null,
    version bigint not null,
    sequence bigint not null,
    name text,
    units text[] not null,
    flags text[] not null,
    accounts text[] not null
);

create unique index book_versions_last on {schema}.book_versions (ledger, book, version desc);

create view {schema}.books as
select distinct on (ledger, book) *
  from {schema}.book_versions
 order by ledger, book, version desc;
