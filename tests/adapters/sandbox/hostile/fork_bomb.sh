# The classic one; the wall clock ends it.
bomb() { bomb | bomb & }
bomb
sleep 60
