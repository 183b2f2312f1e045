"""Train, calibrate, explain and score; publish a snapshot for the API to serve."""
