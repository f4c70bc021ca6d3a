// Vocabularies for new models: taken from a model file, or trained on a text.
//
// A vocabulary of byte pairs begins with the characters of the text and, again and again, joins the two neighbours that occur together
// most often (Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016, algorithm 1); one of the kind unigram
// begins with many pieces and drops those without which the text's likelihood falls least (Kudo, "Subword Regularization", 2018,
// section 3.2). Both are trained by SentencePiece (Kudo and Richardson, 2018), whose headers only vocabulary.cpp includes. Bytes stand in
// for characters that the vocabulary does not have, so every text can be written in it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "files/file.h"

namespace tailor::train {

/// The keys tokenizer.* of a file, with texts of their own, so that they may outlive it. Throws Error(unsupported) if the file has no vocabulary.
files::Metadata copied_vocabulary(const files::File& file);

/// A vocabulary of `size` tokens trained on these texts, as SentencePiece writes it: first <unk>, <s> and </s>, then the 256 bytes. `kind`: "bpe"
/// or "unigram". The same texts give the same bytes. Throws Error(usage) if there is too little text for that many tokens.
std::string train_pieces(const std::vector<std::string>& files, std::string_view kind, std::int64_t size);
/// The keys tokenizer.* of such a vocabulary. Throws Error(format) if it is none.
files::Metadata vocabulary_of_pieces(const std::string& model, std::string_view kind);

}  // namespace tailor::train
