"""A local stand-in for SendGrid and Twilio: takes what the official SDKs send, refuses what they would, shows it all."""
