SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.erasures (
    who text NOT NULL,
    micros bigint NOT NULL,
    seq bigint NOT NULL
);
CREATE TABLE public.events (
    seq bigint NOT NULL,
    event_id text NOT NULL,
    user_id text NOT NULL,
    item_id text NOT NULL,
    micros bigint NOT NULL,
    event text NOT NULL,
    value double precision,
    query text,
    session_id text,
    request_id text,
    received_micros bigint NOT NULL
);
CREATE SEQUENCE public.events_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.events_seq_seq OWNED BY public.events.seq;
CREATE TABLE public.items (
    item_id text NOT NULL,
    seq integer NOT NULL,
    title text,
    text text,
    categories json NOT NULL,
    attributes text,
    published_at bigint,
    expires_at bigint,
    available boolean NOT NULL,
    deleted boolean NOT NULL
);
CREATE TABLE public.keys (
    id text NOT NULL,
    name text NOT NULL,
    scopes json NOT NULL,
    digest text NOT NULL,
    created double precision NOT NULL,
    expires double precision,
    revoked double precision
);
CREATE TABLE public.naming (
    "only" integer NOT NULL,
    naming text NOT NULL
);
CREATE TABLE public.served (
    seq bigint NOT NULL,
    request_id text NOT NULL,
    user_id text,
    micros bigint NOT NULL,
    model_version text NOT NULL,
    arm text NOT NULL,
    items json NOT NULL,
    scores json NOT NULL,
    propensities json NOT NULL
);
CREATE SEQUENCE public.served_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.served_seq_seq OWNED BY public.served.seq;
ALTER TABLE ONLY public.events ALTER COLUMN seq SET DEFAULT nextval('public.events_seq_seq'::regclass);
ALTER TABLE ONLY public.served ALTER COLUMN seq SET DEFAULT nextval('public.served_seq_seq'::regclass);
INSERT INTO public.erasures VALUES ('c0a497761b175379ed63397cc980546559faa84ca9cbeede773117c31508b6ac', 1714564800123456, 4);
INSERT INTO public.events VALUES (1, 'a', 'eve', 'i1', 1714564800123456, 'rating', 4.5, 'red shoes', 's', 'r1', 1795936487666807);
INSERT INTO public.events VALUES (2, 'b', 'adam', 'i2', 1714564860123456, 'click', NULL, NULL, NULL, NULL, 1795936487666807);
INSERT INTO public.events VALUES (3, 'c', 'adam', 'i1', 1714564920123456, 'purchase', NULL, NULL, NULL, 'r2', 1795936487666807);
INSERT INTO public.events VALUES (5, 'd', 'mallory', 'i3', 1714651200123456, 'click', NULL, NULL, NULL, NULL, 1795936487729062);
INSERT INTO public.items VALUES ('i3', 1, 'A film', 'A text', '["drama", "war"]', '{"year": 1999}', 1714564800123456, 1715342400123456, true, false);
INSERT INTO public.items VALUES ('i4', 3, 'Another', NULL, '[]', NULL, NULL, NULL, false, true);
INSERT INTO public.keys VALUES ('44123de35626', 'the shop', '["ingest", "recommend"]', 'fc43b30dd490a50612a8d694e170459427c65695d76f6e3675288e6d3853e336', 1714564800.123456, NULL, NULL);
INSERT INTO public.keys VALUES ('3140618d7f0e', 'a guest', '["recommend"]', '612f9548093c2d799d64c2728a9d877339f2482e5959719eb1cc48f126db82d0', 1714564801.123456, 1714651200.123456, 1714568400.123456);
INSERT INTO public.naming VALUES (1, 'plain');
INSERT INTO public.served VALUES (1, 'r1', 'eve', 1714564800123456, 'v1', 'champion', '["i1", "i2"]', '[2.0, 1.0]', '[1.0, 1.0]');
INSERT INTO public.served VALUES (2, 'r2', NULL, 1714564800123456, 'v1', 'champion', '["i2"]', '[1.5]', '[0.25]');
SELECT pg_catalog.setval('public.events_seq_seq', 5, true);
SELECT pg_catalog.setval('public.served_seq_seq', 2, true);
ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (who);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_event_id_key UNIQUE (event_id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.items
    ADD CONSTRAINT items_pkey PRIMARY KEY (item_id);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.naming
    ADD CONSTRAINT naming_pkey PRIMARY KEY ("only");
ALTER TABLE ONLY public.served
    ADD CONSTRAINT served_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.served
    ADD CONSTRAINT served_request_id_key UNIQUE (request_id);
CREATE INDEX events_of_user ON public.events USING btree (user_id, micros, seq);
CREATE INDEX items_by_seq ON public.items USING btree (seq);
CREATE INDEX served_to_user ON public.served USING btree (user_id, seq);
