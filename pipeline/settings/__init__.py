"""What gin can tune about a run: frozen dataclasses, checked as they are made."""
