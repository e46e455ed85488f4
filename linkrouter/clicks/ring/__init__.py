"""The ring: clicks in shared memory, from a worker that answers recipients to the carrier that commits and sends."""
