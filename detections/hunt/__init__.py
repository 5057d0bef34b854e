"""Search captures with whole rule sets, in memory: no database, no event store, no set-up."""
