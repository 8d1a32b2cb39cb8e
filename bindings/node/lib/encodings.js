'use strict';

// How messages become bytes and back, as Node's own channels have them: `json` and `advanced`.

const v8 = require('node:v8');

/** Tags before a host object: views as V8 has them, everything else as a plain object, much as JSON would show it. */
const VIEW = 0;
const PLAIN = 1;

class Writer extends v8.DefaultSerializer {
  _writeHostObject(object) {
    const isView = ArrayBuffer.isView(object);
    this.writeUint32(isView ? VIEW : PLAIN);
    if (isView) super._writeHostObject(object);
    else this.writeValue({ ...object });
  }
}

class Reader extends v8.DefaultDeserializer {
  _readHostObject() {
    return this.readUint32() === VIEW ? super._readHostObject() : this.readValue();
  }
}

const encodings = {
  // Called with one argument.
  json: { encode: JSON.stringify, decode: JSON.parse },
  advanced: {
    encode(message) {
      const writer = new Writer();
      writer.writeHeader();
      writer.writeValue(message);
      return writer.releaseBuffer();
    },
    decode(bytes) {
      const reader = new Reader(bytes);
      reader.readHeader();
      return reader.readValue();
    },
  },
};

module.exports = { encodings };
