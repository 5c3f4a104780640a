-- Knowledge: versions of a tenant's documents. A version is a list of document revisions, so that
-- publishing is one number set in one row and what did not change is shared, never copied.
create extension if not exists vector;
create schema knowledge;

create table knowledge.versions (
    id bigint generated always as identity primary key,
    tenant text not null,
    number int,                       -- null while staged: no reader sees it
    source text not null,             -- what this ingest replaces; other sources are carried over
    encoder text not null,
    splitter text not null,
    encoders text[],                  -- all encoders among its documents: more than one needs a new ingest
    documents int not null default 0,
    chunks int not null default 0,
    words bigint not null default 0,
    touched_at timestamptz not null default now(),
    published_at timestamptz,
    unique (tenant, number)
);

-- One row is one revision of a document; it never changes once its step is 'embedded'.
create table knowledge.documents (
    id bigint generated always as identity primary key,
    tenant text not null,
    document text not null,
    source text not null,
    file text not null,
    title text not null,
    url text,
    locale text not null,
    audience text not null,           -- the permission that reading needs; '' for everyone
    hash text,
    encoder text not null,
    splitter text not null,
    step text not null default 'loaded' check (step in ('loaded', 'cleaned', 'split', 'embedded')),
    body text,                        -- until it is split
    pieces jsonb,                     -- until they are embedded
    chunks int not null default 0
);
create index on knowledge.documents (tenant);

create table knowledge.listing (
    version bigint not null references knowledge.versions on delete cascade,
    document text not null,
    revision bigint not null references knowledge.documents on delete cascade,
    primary key (version, document)
);
create index on knowledge.listing (revision);

-- In how many chunks of a version a lexeme occurs.
create table knowledge.frequencies (
    version bigint not null references knowledge.versions on delete cascade,
    lexeme text not null,
    chunks int not null,
    primary key (version, lexeme)
);

create function knowledge.dictionary(locale text) returns regconfig
    language sql immutable parallel safe
    return case when locale = '' or lower(locale) like 'en%' then 'pg_catalog.english'::regconfig
                else 'pg_catalog.simple'::regconfig end;

create function knowledge.lexemes(locale text, heading text, content text) returns tsvector
    language sql immutable parallel safe
    return setweight(to_tsvector(knowledge.dictionary(locale), heading), 'A')
        || setweight(to_tsvector(knowledge.dictionary(locale), content), 'D');

-- How many words that is; a word of the heading, which is marked A, counts twice.
create function knowledge.words(lexemes tsvector) returns int
    language sql immutable parallel safe
    return (select coalesce(sum(cardinality(positions) + cardinality(array_positions(weights, 'A'))), 0)
            from unnest(lexemes));
