-- In which quarter-hours of a UTC day an asset has readings, and how many of its rows came late. See bridge/store/days.py.

CREATE TABLE days (
  asset INTEGER NOT NULL REFERENCES assets (id),
  day INTEGER NOT NULL,             -- since 1970
  first_half INTEGER NOT NULL,      -- a bit each quarter-hour, the lowest the first
  second_half INTEGER NOT NULL,
  late INTEGER NOT NULL,            -- rows that were stored after newer ones of the asset
  PRIMARY KEY (asset, day)
) WITHOUT ROWID;

INSERT INTO days (asset, day, first_half, second_half, late)
SELECT asset, quarter / 96,
  sum(CASE WHEN quarter % 96 < 48 THEN 1 << quarter % 96 ELSE 0 END),
  sum(CASE WHEN quarter % 96 >= 48 THEN 1 << quarter % 96 - 48 ELSE 0 END), 0
FROM (SELECT DISTINCT asset, ts / 900000 AS quarter FROM samples WHERE ts >= 0) GROUP BY asset, quarter / 96;
