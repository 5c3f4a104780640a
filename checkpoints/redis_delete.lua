-- Removes a thread. ARGV: ttl of the epoch, which stays.
drop_all_but_epoch()
touch(ARGV[1])
