# Dies of a real-time signal, which has no name.
kill -40 $$
