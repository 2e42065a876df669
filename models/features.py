"""Names of the stored features, which the data plane and the learning side share. Constants only.

Each stored row is a tf.Example with these features. Each holds one bytes value:

    key         identity of the pair, unique in a data set; every random choice about the row derives from it
    image       the encoded picture, in a format that TensorFlow decodes (JPEG, PNG, GIF, BMP)
    caption     UTF-8 text
    source      name of the source that the row was read from
    language    BCP 47 tag of the caption; "und" if it is unknown
    category    free label to slice metrics by; "" for none
    class_name  the picture's zero-shot class, in words; "" for none

A picture with several captions also has:

    more_captions  all captions but the first, one or more bytes values; training draws one caption at each visit,
                   everything else uses the first one

Rows of one picture or document, such as captions in several languages, share a picture id, which is their group:

    group       all rows of a group lie in one split, and retrieval counts them as one picture; a row without a group
                is a group of its own, whose picture id is the key

A row that the Augmenter made from another row says how:

    variant     the change, such as "crop, swap"; the row is in the group of the row that it was made from

A row whose source lists the classes of a picture, which may be several, has all of them:

    class_names     one or more bytes values, each a right class; class_name is the first one

Rows of an evaluation set have one caption each, and name their set:

    evaluation_set  name of the set; "eval" is the pipeline's own eval split

A row whose caption names a part of the picture has its box; one a row:

    boxes           4 floats in [0, 1] of the picture's height and width: top, left, bottom, right

After ImageEmbedder has embedded the pictures with a locked tower, rows have this feature in place of `image`:

    image_embedding  D floats, unit norm
"""

KEY = "key"
IMAGE = "image"
CAPTION = "caption"
SOURCE = "source"
LANGUAGE = "language"
CATEGORY = "category"
CLASS_NAME = "class_name"
CLASS_NAMES = "class_names"
MORE_CAPTIONS = "more_captions"
GROUP = "group"
VARIANT = "variant"
EVALUATION_SET = "evaluation_set"
BOXES = "boxes"
IMAGE_EMBEDDING = "image_embedding"

ALL = (KEY, IMAGE, CAPTION, SOURCE, LANGUAGE, CATEGORY, CLASS_NAME)
TEXT = (KEY, CAPTION, SOURCE, LANGUAGE, CATEGORY, CLASS_NAME)

UNKNOWN_LANGUAGE = "und"
OWN_SET = "eval"
