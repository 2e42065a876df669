"""TFRecord: `TfrecordSource`, and checks of an Example before protobuf parses it."""
