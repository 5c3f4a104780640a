-- {chunks} and {passages} stand for the table and the view of one vector size.

-- name: prepared
select to_regclass(%(view)s) is not null as done

-- name: create_chunks
create table {chunks} (
    id text primary key,
    revision bigint not null references knowledge.documents on delete cascade,
    ordinal int not null,
    locale text not null,
    heading text not null,
    content text not null,
    embedding vector({dimensions}) not null,
    lexemes tsvector generated always as (knowledge.lexemes(locale, heading, content)) stored,
    words int generated always as (knowledge.words(knowledge.lexemes(locale, heading, content))) stored
)

-- name: index_revisions
create index on {chunks} (revision)

-- name: index_lexemes
create index on {chunks} using gin (lexemes)

-- name: index_vectors
create index on {chunks} using hnsw (embedding vector_cosine_ops)

-- name: create_passages
create view {passages} as
select c.id, c.ordinal, c.heading, c.content, c.embedding, c.lexemes, c.words,
       d.document, d.title, d.url, d.audience, d.tenant, l.version
from knowledge.listing l
join knowledge.documents d on d.id = l.revision
join {chunks} c on c.revision = l.revision

-- name: lock
select pg_advisory_xact_lock(hashtextextended(%(key)s, 0))

-- name: current
select id, number, documents, chunks, words, encoders from knowledge.versions
where tenant = %(tenant)s and number is not null order by number desc limit 1

-- name: lexical
-- What a query costs does not grow with it, nor with how common its words are: of its rarest words
-- those look for candidates that together occur in few enough chunks, at least the rarest.
with terms as (
    select f.lexeme, ln(1 + (%(chunks)s - f.chunks + 0.5) / (f.chunks + 0.5)) as idf,
           row_number() over rarest = 1 or sum(f.chunks) over rarest <= %(matches)s as looks
    from unnest(to_tsvector(knowledge.dictionary(%(locale)s), %(query)s)) q
    join knowledge.frequencies f on f.version = %(version)s and f.lexeme = q.lexeme
    window rarest as (order by f.chunks, f.lexeme)
    order by f.chunks, f.lexeme
    limit %(terms)s
), looked as (
    select string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | ')
           filter (where looks)::tsquery as query
    from terms
), matches as materialized (
    select p.id, p.lexemes, p.words from looked, {passages} p
    where p.version = %(version)s and p.tenant = %(tenant)s and p.audience = any(%(audiences)s)
      and p.lexemes @@ looked.query
    limit %(matches)s
), candidates as materialized (
    select m.id, m.lexemes, m.words from matches m, looked
    order by ts_rank(m.lexemes, looked.query, 1) desc, m.id
    limit %(limit)s
), scored as (
    select c.id, sum(t.idf * n.tf * 2.2 / (n.tf + 1.2 * (0.25 + 0.75 * c.words / %(mean)s))) as bm25
    from candidates c
    cross join unnest(c.lexemes) u
    join terms t using (lexeme)
    cross join lateral (
        select cardinality(u.positions) + cardinality(array_positions(u.weights, 'A')) as tf
    ) n
    group by c.id
)
select p.id, p.ordinal, p.heading, p.content, p.document, p.title, p.url,
       s.bm25::float8 as bm25, 1 - (p.embedding <=> %(vector)s::vector) as similarity
from scored s join {passages} p on p.id = s.id and p.version = %(version)s
order by s.bm25 desc, p.id

-- name: documents
select d.document, d.title, d.url, d.locale, d.audience, d.source, d.file, d.chunks
from knowledge.listing l join knowledge.documents d on d.id = l.revision
where l.version = %(version)s order by d.document

-- name: stale_sources
select distinct d.source
from knowledge.listing l join knowledge.documents d on d.id = l.revision
where l.version = %(version)s and d.encoder <> %(encoder)s order by d.source

-- name: begin
insert into knowledge.versions (tenant, source, encoder, splitter)
values (%(tenant)s, %(source)s, %(encoder)s, %(splitter)s) returning id

-- name: touch
update knowledge.versions set touched_at = now()
where id = %(stage)s and tenant = %(tenant)s and number is null
returning source, encoder, splitter

-- name: stage
select tenant, source, number, documents, chunks from knowledge.versions where id = %(stage)s

-- name: add
with draft as (
    insert into knowledge.documents
        (tenant, document, source, file, title, url, locale, audience, encoder, splitter, body)
    select tenant, %(document)s, source, %(file)s, %(title)s, %(url)s, %(locale)s, %(audience)s,
           encoder, splitter, %(body)s
    from knowledge.versions where id = %(stage)s
    returning id, document
)
insert into knowledge.listing (version, document, revision)
select %(stage)s, document, id from draft
on conflict (version, document) do update set revision = excluded.revision

-- name: keep
insert into knowledge.listing (version, document, revision)
select %(stage)s, l.document, l.revision
from knowledge.listing l join knowledge.documents d on d.id = l.revision
where l.version = %(current)s and d.source = %(source)s and d.file = %(file)s
on conflict (version, document) do nothing

-- name: waiting
select d.id, d.document, d.file, d.title, d.url, d.locale, d.audience, d.body, d.pieces
from knowledge.listing l join knowledge.documents d on d.id = l.revision
where l.version = %(stage)s and d.step = %(step)s order by d.id limit %(limit)s

-- name: progress
select count(*) as documents, coalesce(sum(d.chunks), 0)::int as chunks,
       count(*) filter (where d.step = 'loaded') as loaded,
       count(*) filter (where d.step = 'cleaned') as cleaned,
       count(*) filter (where d.step = 'split') as split
from knowledge.listing l join knowledge.documents d on d.id = l.revision
where l.version = %(stage)s

-- name: unchanged
update knowledge.listing staged set revision = d.id
from knowledge.documents draft, knowledge.listing l join knowledge.documents d on d.id = l.revision
where draft.id = %(id)s and staged.version = %(stage)s and staged.revision = draft.id
  and l.version = %(current)s and d.document = draft.document and d.hash = %(hash)s
  and (d.source, d.file, d.encoder, d.splitter)
    = (draft.source, draft.file, draft.encoder, draft.splitter)
returning d.id

-- name: drop_draft
delete from knowledge.documents where id = %(id)s and step <> 'embedded'

-- name: clean
update knowledge.documents set step = 'cleaned', title = %(title)s, body = %(body)s, hash = %(hash)s
where id = %(id)s and step = 'loaded'

-- name: split
update knowledge.documents set step = 'split', body = null, pieces = %(pieces)s
where id = %(id)s and step = 'cleaned'

-- name: embedded
update knowledge.documents set step = 'embedded', pieces = null, chunks = %(chunks)s
where id = %(id)s and step = 'split'

-- name: incomplete
select count(*) as documents
from knowledge.listing l join knowledge.documents d on d.id = l.revision
where l.version = %(stage)s
  and (d.step <> 'embedded'
       or (d.encoder = %(encoder)s
           and d.chunks <> (select count(*) from {chunks} c where c.revision = d.id)))

-- name: carry
insert into knowledge.listing (version, document, revision)
select %(stage)s, l.document, l.revision
from knowledge.listing l join knowledge.documents d on d.id = l.revision
where l.version = %(current)s and d.source <> %(source)s
on conflict (version, document) do nothing

-- name: carry_except
insert into knowledge.listing (version, document, revision)
select %(stage)s, document, revision from knowledge.listing
where version = %(current)s and document <> all(%(documents)s)

-- name: removed
select count(*) as documents from (
    select document from knowledge.listing where version = %(current)s
    except select document from knowledge.listing where version = %(stage)s
) gone

-- name: same
select not exists (
    (select document, revision from knowledge.listing where version = %(stage)s
     except select document, revision from knowledge.listing where version = %(current)s)
    union all
    (select document, revision from knowledge.listing where version = %(current)s
     except select document, revision from knowledge.listing where version = %(stage)s)
) as same

-- name: count_lexemes
insert into knowledge.frequencies (version, lexeme, chunks)
select %(stage)s, u.lexeme, count(*)
from {passages} p, unnest(p.lexemes) u where p.version = %(stage)s group by u.lexeme

-- name: publish
update knowledge.versions v set
    number = coalesce((select max(number) from knowledge.versions where tenant = v.tenant), 0) + 1,
    published_at = now(), documents = t.documents, chunks = t.chunks, words = t.words,
    encoders = t.encoders
from (
    select (select count(*) from knowledge.listing where version = %(stage)s) as documents,
           count(*) as chunks, coalesce(sum(p.words), 0) as words,
           (select coalesce(array_agg(distinct d.encoder), array[]::text[])
            from knowledge.listing l join knowledge.documents d on d.id = l.revision
            where l.version = %(stage)s) as encoders
    from {passages} p where p.version = %(stage)s
) t
where v.id = %(stage)s
returning v.number, v.documents, v.chunks

-- name: abandon
delete from knowledge.versions where id = %(stage)s and number is null

-- name: delete_revisions
delete from knowledge.documents d
where d.tenant = %(tenant)s and d.document = any(%(documents)s) and d.step = 'embedded'
  and not exists (
      select from knowledge.listing l join knowledge.versions v on v.id = l.version
      where l.revision = d.id and (v.number is null or v.id = %(current)s))

-- name: prune_versions
delete from knowledge.versions v
where v.tenant = %(tenant)s and (
    (v.number is null and v.touched_at < now() - %(patience)s)
    or (select min(n.published_at) from knowledge.versions n
        where n.tenant = v.tenant and n.number > v.number) < now() - %(patience)s)

-- name: prune_documents
delete from knowledge.documents d
where d.tenant = %(tenant)s
  and not exists (select from knowledge.listing l where l.revision = d.id)

-- name: analyze
analyze knowledge.listing, knowledge.documents, {chunks}
