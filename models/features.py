"""Names of the stored features: the one thing the data plane and the learning side share. Constants only.

Each stored row is a tf.Example with these features, all of one bytes value:

    key         identity of the pair, unique in a data set; every random choice about the row derives from it
    image       the encoded picture, in a format TensorFlow decodes (JPEG, PNG, GIF, BMP)
    caption     UTF-8 text
    source      name of the source the row came from
    language    BCP 47 tag of the caption, "und" where it is unknown
    category    free label to slice metrics by, "" where there is none
    class_name  the picture's zero-shot class, as words, "" where it has none

A picture with several captions has, besides:

    more_captions  all but the first, one or more bytes values; training draws one a visit, all else uses the first

Rows that belong to one picture or document, such as its captions in several languages, share

    group       they lie in one split, and retrieval counts their picture once; without it the key is the group

What the Augmenter has made out of another row says so:

    variant     what was done, such as "crop, swap"; the row lies in the group of the one it was made of

Rows that a model is evaluated on say which set they belong to, and are of one caption each:

    evaluation_set  its name; "eval" is the pipeline's own split

Where a locked tower has embedded the pictures (ImageEmbedder), rows have, in place of `image`:

    image_embedding  D floats, of unit norm
"""

KEY = "key"
IMAGE = "image"
CAPTION = "caption"
SOURCE = "source"
LANGUAGE = "language"
CATEGORY = "category"
CLASS_NAME = "class_name"
MORE_CAPTIONS = "more_captions"
GROUP = "group"
VARIANT = "variant"
EVALUATION_SET = "evaluation_set"
IMAGE_EMBEDDING = "image_embedding"

ALL = (KEY, IMAGE, CAPTION, SOURCE, LANGUAGE, CATEGORY, CLASS_NAME)
TEXT = (KEY, CAPTION, SOURCE, LANGUAGE, CATEGORY, CLASS_NAME)

UNKNOWN_LANGUAGE = "und"
OWN_SET = "eval"
