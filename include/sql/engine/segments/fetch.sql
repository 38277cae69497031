-- The next rows of an analyst's file.
fetch 5000 from analyst_rows
