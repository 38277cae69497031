-- Ends reading an analyst's file.
close analyst_rows
