-- The movement day: which steps were done, what was overridden, which files were imported. See days.py.

-- What was decided here of a day, and what was sealed here of it: asked for every gate and every close.
CREATE INDEX fs_incoming_day ON fs_incoming (business_date);
CREATE INDEX fs_outgoing_day ON fs_outgoing (business_date);
