create schema if not exists crm;

create table crm.customers (
    tenant text not null,
    id text not null,
    first_name text not null,
    last_name text not null,
    email text not null,
    primary key (tenant, id)
);
-- One e-mail, one customer: it is half of what identifies somebody.
create unique index customers_email on crm.customers (tenant, lower(email));
create index customers_name on crm.customers (tenant, lower(last_name), lower(first_name));

create table crm.payment_methods (
    tenant text not null,
    customer_id text not null,
    id text not null,
    kind text not null,
    brand text,
    last_four text,
    balance numeric(12, 2) check (balance >= 0),
    primary key (tenant, customer_id, id),
    foreign key (tenant, customer_id) references crm.customers on delete cascade,
    check ((kind = 'gift_card') = (balance is not null))
);

create table crm.products (
    tenant text not null,
    id text not null,
    name text not null,
    description text,
    primary key (tenant, id)
);

create table crm.variants (
    tenant text not null,
    id text not null,
    product_id text not null,
    options json not null,
    available boolean not null,
    price numeric(12, 2) not null check (price >= 0),
    primary key (tenant, id),
    foreign key (tenant, product_id) references crm.products on delete cascade
);
create index variants_product on crm.variants (tenant, product_id);

create table crm.orders (
    tenant text not null,
    id text not null,
    customer_id text not null,
    position int not null,
    status text not null,
    cancel_reason text,
    return_payment_method_id text,
    exchange_payment_method_id text,
    exchange_price_difference numeric(12, 2),
    primary key (tenant, id),
    foreign key (tenant, customer_id) references crm.customers on delete cascade
);
create index orders_customer on crm.orders (tenant, customer_id);

-- The default address of a customer, or the shipping address of an order.
create table crm.addresses (
    tenant text not null,
    customer_id text,
    order_id text,
    address1 text not null,
    address2 text not null,
    city text not null,
    state text not null,
    country text not null,
    postcode text not null,
    unique (tenant, customer_id),
    unique (tenant, order_id),
    foreign key (tenant, customer_id) references crm.customers on delete cascade,
    foreign key (tenant, order_id) references crm.orders on delete cascade,
    check (num_nonnulls(customer_id, order_id) = 1)
);

-- A line keeps what was bought: a product that changes or goes later does not change it.
create table crm.order_items (
    tenant text not null,
    order_id text not null,
    position int not null,
    product_id text not null,
    item_id text not null,
    name text not null,
    options json not null,
    price numeric(12, 2) not null,
    return_requested boolean not null default false,
    exchange_item_id text,
    primary key (tenant, order_id, position),
    foreign key (tenant, order_id) references crm.orders on delete cascade
);

create table crm.fulfilments (
    tenant text not null,
    order_id text not null,
    position int not null,
    tracking_ids text[] not null,
    item_ids text[] not null,
    primary key (tenant, order_id, position),
    foreign key (tenant, order_id) references crm.orders on delete cascade
);

create table crm.payments (
    tenant text not null,
    order_id text not null,
    position int not null,
    kind text not null check (kind in ('payment', 'refund')),
    amount numeric(12, 2) not null check (amount >= 0),
    payment_method_id text not null,
    primary key (tenant, order_id, position),
    foreign key (tenant, order_id) references crm.orders on delete cascade
);

create table crm.tickets (
    tenant text not null,
    number bigint generated always as identity (start with 10001),
    kind text not null check (kind in ('question', 'hand_off')),
    customer_id text,
    thread_id text not null,
    summary text not null,
    status text not null default 'open',
    created_at timestamptz not null default now(),
    primary key (tenant, number)
);
create index tickets_thread on crm.tickets (tenant, thread_id);
