"""The movement day: who is due, what is missing, what may run when, and the steps themselves."""
