"""The public web app: links, landing pages and unsubscribing. Its own process; it never imports Airflow."""
