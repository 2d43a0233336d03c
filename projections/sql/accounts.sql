-- Every version of every account; the present state is the last version.

create table {schema}.account_versions (
    ledger text collate "C" not null,
    account text collate "C" not null,
    version bigint not null,
    sequence bigint not null,
    account_type text not null,
    policy text not null,
    floor bigint,
    flags text[] not null,
    book text,
    alias text collate "C",
    state text not null
);

create unique index account_versions_last on {schema}.account_versions (ledger, account, version desc);
create index account_versions_alias on {schema}.account_versions (ledger, alias) where alias is not null;

create view {schema}.accounts as
select distinct on (ledger, account) *
  from {schema}.account_versions
 order by ledger, account, version desc;
