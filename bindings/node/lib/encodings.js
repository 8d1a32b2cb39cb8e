'use strict';

// How messages become bytes and back, as Node's own channels have them: `json` and `advanced`.

const v8 = require('node:v8');

/** Tags before a host object: views as V8 has them, everything else as a plain object, much as JSON would show it. */
const VIEW = 0;
const PLAIN = 1;
/** Bytes of the frame of a message. */
const FRAME = 4;

class Writer extends v8.DefaultSerializer {
  _writeHostObject(object) {
    const isView = ArrayBuffer.isView(object);
    this.writeUint32(isView ? VIEW : PLAIN);
    if (isView) super._writeHostObject(object);
    else this.writeValue({ ...object });
  }
}

/** The same in memory of its own. */
function alone(view) {
  const memory = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  return Buffer.isBuffer(view) ? Buffer.from(memory) : new view.constructor(memory);
}

class Reader extends v8.DefaultDeserializer {
  #shared;

  constructor(bytes) {
    super(bytes);
    // More than the message and its frame: what its receiver gives away must not take others along.
    this.#shared = bytes.buffer.byteLength > bytes.byteLength + FRAME;
  }

  _readHostObject() {
    if (this.readUint32() !== VIEW) return this.readValue();
    const view = super._readHostObject();
    return this.#shared ? alone(view) : view;
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
