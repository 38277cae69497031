-- Keeps one request as it came in.
insert into requests (received_at, body) values (:received_at, :body)
