"""How the check asks for a link: politely, over judged addresses, and what an answer means."""
