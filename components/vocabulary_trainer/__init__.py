"""VocabularyTrainer: captions of the train split -> a SentencePiece vocabulary."""
