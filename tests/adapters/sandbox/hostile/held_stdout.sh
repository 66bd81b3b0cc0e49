# Leaves a process behind that holds the output open.
(sleep 300; echo BREACH) &
echo contained
