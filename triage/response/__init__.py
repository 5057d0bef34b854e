"""Response: the ladder, actions with approval, proof and undo, and what stays open."""
