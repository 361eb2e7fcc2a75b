-- Every report moved an entry of it; whether a report is the newest of its sort is asked by device and suffix, the key of `latest`.
DROP INDEX latest_seq;
