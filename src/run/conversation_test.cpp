// Conversations with the built-in model: what is evaluated anew, what is left out, and that neither changes an answer.
#include "run/conversation.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace tailor::run {
namespace {

/// The model, a form in which nothing is ambiguous, and greedy answers of a few tokens.
struct Talk {
    explicit Talk(std::int64_t context = 256, std::int64_t most_tokens = 8, const char* source = nullptr)
        : model(LanguageModel::open(TAILOR_SOURCE_DIR "/models/victorian-8m-f16.gguf")), pool(2), session(model, pool, {.context = context}),
          form(source ? text::ChatTemplate(source, "<s>", "</s>") : text::ChatTemplate(model->file().metadata(), model->tokenizer())),
          conversation(session, form, options(most_tokens)) {}

    static GenerateOptions options(std::int64_t most_tokens) {
        GenerateOptions result;
        result.most_tokens = most_tokens;
        result.sampler.temperature = 0;
        return result;
    }
    Answer ask(const std::string& question) {
        conversation.add_user(question);
        return conversation.answer();
    }

    std::shared_ptr<LanguageModel> model;
    core::Pool pool;
    Session session;
    text::ChatTemplate form;
    Conversation conversation;
};

TEST(Conversation, EvaluatesOnlyWhatIsNew) {
    Talk talk;
    talk.conversation.set_system("A conversation between two friends.");
    const Answer first = talk.ask("Good morning.");
    EXPECT_EQ(0, first.reused_tokens);
    EXPECT_FALSE(first.text.empty());
    const Answer second = talk.ask("How is your sister?");
    EXPECT_GE(second.reused_tokens, first.prompt_tokens);
    EXPECT_LT(second.reused_tokens, second.prompt_tokens);
    EXPECT_EQ(5u, talk.conversation.messages().items().size());

    // The same questions, all evaluated from nothing, give the same answer.
    Talk fresh;
    core::Json messages = talk.conversation.messages();
    fresh.conversation.set_messages(messages);
    ASSERT_TRUE(fresh.conversation.take_back_answer());
    const Answer again = fresh.conversation.answer();
    EXPECT_EQ(0, again.reused_tokens);
    EXPECT_EQ(second.prompt_tokens, again.prompt_tokens);
    EXPECT_EQ(second.text, again.text);
}

TEST(Conversation, AnotherAnswerEvaluatesOneToken) {
    Talk talk;
    const Answer first = talk.ask("Good morning.");
    ASSERT_TRUE(talk.conversation.take_back_answer());
    EXPECT_FALSE(talk.conversation.take_back_answer());
    const Answer second = talk.conversation.answer();
    EXPECT_EQ(second.prompt_tokens - 1, second.reused_tokens);
    EXPECT_EQ(first.text, second.text);  // greedy
}

TEST(Conversation, UndoAndClear) {
    Talk talk;
    talk.conversation.set_system("Be kind.");
    EXPECT_FALSE(talk.conversation.undo());
    talk.ask("One.");
    talk.ask("Two.");
    ASSERT_TRUE(talk.conversation.undo());
    EXPECT_EQ(3u, talk.conversation.messages().items().size());
    talk.conversation.set_system("Be brief.");
    EXPECT_EQ("Be brief.", talk.conversation.messages().items()[0].at("content").string());
    talk.conversation.clear();
    EXPECT_EQ(1u, talk.conversation.messages().items().size());
    talk.conversation.set_system("");
    EXPECT_TRUE(talk.conversation.messages().items().empty());
}

TEST(Conversation, OldMessagesMakeRoomAndSystemMessagesStay) {
    Talk talk(96);
    talk.conversation.set_system("Two friends are talking.");
    for (int i = 0; i < 8; ++i) {
        const Answer answer = talk.ask(core::format("This is my question number {}.", i));
        EXPECT_LE(answer.prompt_tokens + 8, 96);
    }
    EXPECT_GT(talk.conversation.left_out(), 0);
    EXPECT_EQ(0, talk.conversation.left_out() % 2);
    const std::string prompt = talk.conversation.prompt_text();
    EXPECT_NE(std::string::npos, prompt.find("Two friends"));
    EXPECT_NE(std::string::npos, prompt.find("number 7"));
    EXPECT_EQ(std::string::npos, prompt.find("number 0"));
    EXPECT_EQ(17u, talk.conversation.messages().items().size());  // they are left out, not forgotten

    std::string endless;
    for (int i = 0; i < 200; ++i) endless += "word ";
    EXPECT_THROW(talk.ask(endless), core::Error);
}

TEST(Conversation, CtrlCEndsTheAnswerAndKeepsWhatWasWritten) {
    Talk talk(256, -1);
    talk.conversation.add_user("Good morning.");
    int pieces = 0;
    const Answer answer = talk.conversation.answer([&](std::string_view) {
        if (++pieces == 4) core::request_interrupt();
    });
    EXPECT_TRUE(core::take_interrupt());
    EXPECT_EQ("interrupted", answer.stop_reason);
    EXPECT_FALSE(answer.text.empty());
    EXPECT_EQ(2u, talk.conversation.messages().items().size());

    // Before anything was written, the question goes as well.
    core::request_interrupt();
    EXPECT_EQ("interrupted", talk.ask("And you?").stop_reason);
    core::take_interrupt();
    EXPECT_EQ(2u, talk.conversation.messages().items().size());

    // Of an answer that was to be given again the old one stays.
    const core::Json with_answer = talk.conversation.messages();
    ASSERT_TRUE(talk.conversation.take_back_answer());
    core::request_interrupt();
    talk.conversation.answer();
    core::take_interrupt();
    EXPECT_EQ(with_answer.text(), talk.conversation.messages().text());

    // The session is still sound: the next answer is the one that a new session gives.
    talk.conversation.add_user("And you?");
    core::Json messages = talk.conversation.messages();
    Talk fresh(256, -1);
    fresh.conversation.set_messages(messages);
    EXPECT_EQ(fresh.conversation.answer().text, talk.conversation.answer().text);
}

TEST(Conversation, StopsWhereThePlainFormBeginsTheNextTurn) {
    Talk talk(256, 40);
    ASSERT_TRUE(talk.form.is_plain());
    const Answer answer = talk.ask("Good morning.");
    EXPECT_EQ(std::string::npos, answer.text.find("\nUser:"));
}

TEST(Conversation, AnErrorOfTheTemplateReachesTheCaller) {
    Talk talk(256, 8, "{% if messages | length > 2 %}{{ raise_exception('enough') }}{% endif %}{% for m in messages %}{{ m.content }} {% endfor %}");
    talk.ask("Good morning.");
    talk.conversation.add_user("Good evening.");
    try {
        talk.conversation.answer();
        FAIL();
    } catch (const core::Error& error) {
        EXPECT_EQ(core::ErrorKind::usage, error.kind());
        EXPECT_NE(std::string::npos, std::string(error.what()).find("enough"));
    }
    EXPECT_THROW(talk.conversation.set_messages(core::Json("x")), core::Error);
}

}  // namespace
}  // namespace tailor::run
