-- Reads elements. ARGV: ttl, ranges.
touch(ARGV[1])
return elements_of(ARGV[2])
