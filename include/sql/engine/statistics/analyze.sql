-- Lets Postgres look at a sample of what a plan writes.
analyze lifecycle.audiences, lifecycle.enrollments, lifecycle.messages
