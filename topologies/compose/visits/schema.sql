CREATE TABLE visit (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
