use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Module;

use super::coded_corpus::encode_parts;
use crate::data::Corpus;
use crate::fnv;
use crate::fsq;
use crate::model::{ModelError, hash_of_weights, write_bytes};
use crate::packing::FRAME_CODE_BYTES;
use crate::tokenizer::Tokenizer;

const FILE: &str = "codes.bin";
/// Begins every file of this layout.
const MAGIC: &[u8; 8] = b"WSCODES1";
/// Magic, key, number of rows and checksum, 8 bytes each, little-endian.
const HEADER: usize = 32;

/// The codes of all frames of a corpus, encoded once by the finished tokenizer and kept in the run's folder: 256 bytes a
/// frame, where the frame itself has 12,288 or more.
///
/// A file is believed only if its key (datasets and tokenizer weights), length, checksum and every code are right.
pub struct CodeCache {
    path: PathBuf,
    key: u64,
    /// Rows of each part.
    rows: Vec<usize>,
}

/// Codes of each part of a corpus, `rows × FRAME_CODE_BYTES`.
type PartCodes = Vec<Arc<[u8]>>;

/// Where codes came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file of an earlier session.
    Disk,
    /// The tokenizer; there was no file.
    Encoded,
    /// The tokenizer; there was a file, but not one to be believed.
    Rebuilt {
        /// What is wrong with it.
        because: String,
    },
}

impl CodeCache {
    /// The cache in `dir` of what `tokenizer` makes of `corpus`.
    pub fn new(dir: &Path, corpus: &Corpus<'_>, tokenizer: &Tokenizer) -> Self {
        let weights = hash_of_weights(tokenizer).to_le_bytes();
        let key = fnv::extend(fnv::extend(fnv::EMPTY, corpus.hash().as_bytes()), &weights);
        Self {
            path: dir.join(FILE),
            key,
            rows: corpus.parts().iter().map(|part| part.clips.rows()).collect(),
        }
    }

    /// The codes of all frames of each part, `rows × FRAME_CODE_BYTES`, read or else encoded and written.
    ///
    /// # Errors
    /// [`ModelError::Write`] if new codes cannot be written.
    pub fn codes(
        &self,
        corpus: &Corpus<'_>,
        tokenizer: &Tokenizer,
    ) -> Result<(PartCodes, Source), ModelError> {
        let source = match std::fs::read(&self.path) {
            Ok(bytes) => match self.check(&bytes) {
                Ok(()) => return Ok((self.parts(&bytes[HEADER..]), Source::Disk)),
                Err(because) => Source::Rebuilt { because },
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Source::Encoded,
            Err(error) => Source::Rebuilt { because: error.to_string() },
        };
        let codes = encode_parts(corpus, &tokenizer.valid());
        let sum = codes.iter().fold(fnv::EMPTY, |sum, part| fnv::extend(sum, part));
        let head =
            [*MAGIC, self.key.to_le_bytes(), self.all_rows().to_le_bytes(), sum.to_le_bytes()].concat();
        let mut parts: Vec<&[u8]> = vec![&head];
        parts.extend(codes.iter().map(|part| &part[..]));
        write_bytes(&self.path, &parts)?;
        Ok((codes, source))
    }

    fn all_rows(&self) -> u64 {
        self.rows.iter().sum::<usize>() as u64
    }

    fn parts(&self, mut codes: &[u8]) -> PartCodes {
        let mut parts = Vec::with_capacity(self.rows.len());
        for rows in &self.rows {
            let (part, rest) = codes.split_at(rows * FRAME_CODE_BYTES);
            parts.push(Arc::from(part));
            codes = rest;
        }
        parts
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let (head, codes) = bytes.split_at_checked(HEADER).ok_or("it is cut off")?;
        let [magic, key, rows, sum] = [0, 8, 16, 24].map(|at| &head[at..at + 8]);
        if magic != MAGIC {
            return Err("it is no file of codes".to_owned());
        }
        if key != self.key.to_le_bytes() || rows != self.all_rows().to_le_bytes() {
            return Err("it is of another dataset or tokenizer".to_owned());
        }
        if codes.len() as u64 != self.all_rows() * FRAME_CODE_BYTES as u64 {
            return Err("it is cut off".to_owned());
        }
        if sum != fnv::extend(fnv::EMPTY, codes).to_le_bytes() || !fsq::in_range(codes) {
            return Err("its checksum is wrong".to_owned());
        }
        Ok(())
    }
}
