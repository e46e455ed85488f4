<?php
// Track the links of an HTML file over HTTP, with nothing but PHP:
// ENCODER=http://127.0.0.1:8070 TOKEN_FILE=sender-token php rewrite.php FILE > tracked.html
// The manifest, which central is to know when the mail is sent, goes to standard error.

function rewrite(string $html): array
{
    $token = strtok(trim(file_get_contents(getenv('TOKEN_FILE'))), ' ');
    $request = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => "Authorization: Bearer $token\r\nContent-Type: application/json",
        'content' => json_encode(['html' => $html], JSON_THROW_ON_ERROR),
        'timeout' => 10,
        'ignore_errors' => true,
    ]]);
    $body = file_get_contents(getenv('ENCODER') . '/v1/rewrite', false, $request);
    $answer = json_decode($body === false ? '' : $body, true);
    if (!isset($answer['html'])) {
        throw new RuntimeException($answer['reason'] ?? $answer['detail'] ?? 'the encoder does not answer');
    }
    return $answer;
}

$answer = rewrite(file_get_contents($argv[1]));
fwrite(STDERR, json_encode($answer['manifest'], JSON_UNESCAPED_SLASHES) . "\n");
echo $answer['html'];
