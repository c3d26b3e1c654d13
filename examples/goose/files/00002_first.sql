-- +goose Up
INSERT INTO users (name) VALUES ('first');
-- +goose Down
DELETE FROM users;
