"""Turn alerts into cases that are investigated, decided and answered."""
