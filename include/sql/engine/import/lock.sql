-- One import at a time; readers go on seeing the old data until the import commits or truncates.
lock table imported.customers in share row exclusive mode
