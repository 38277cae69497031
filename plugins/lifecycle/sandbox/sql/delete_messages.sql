-- Forgets every message; numbering goes on, so that a follower is not confused.
delete from messages
