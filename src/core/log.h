// Messages for people go to standard error, through one logger; standard output belongs to the answer.
#pragma once

#include <spdlog/spdlog.h>
