-- Commands by state, newest first, however rare the state: GET /api/v1/commands?state=, and what a restart takes up.

CREATE INDEX commands_state ON commands (state, number);
DROP INDEX commands_open;
