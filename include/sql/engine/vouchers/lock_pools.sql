-- One import at a time; codes can be given meanwhile.
lock table lifecycle.voucher_codes in share row exclusive mode
