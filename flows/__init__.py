"""When things run, retried how, and what then: Prefect's side of the loop."""
