"""What a ward's servers and processes are known by: certificates, users, rights, signing keys."""
