-- Which generations of read models there are, and which one the views of `read` show.

create schema if not exists read;

-- `changes` counts what was done to the row. Every page of a projector locks its generation's row, and gives up when
-- it has changed: so whoever swaps or drops a generation waits for pages in flight, and none begins on the old footing.
create table if not exists read.generations (
    generation int primary key,
    shape int not null,
    live boolean not null default false,
    changes int not null default 0
);

create unique index if not exists generations_live on read.generations (live) where live;

-- One that is not built yet is kept by nobody but who builds it. One that is not `whole` has balances alone. `left_at` is when one was live last, before another.
alter table read.generations
    add column if not exists built boolean not null default true,
    add column if not exists whole boolean not null default true,
    add column if not exists left_at timestamptz;

create sequence if not exists read.generation_numbers start 2;
